CREATE TABLE acc (id int PRIMARY KEY, v int);
