create table a (id int primary key);
insert into a values (1);
create table seen (who text primary key, ids bigint);
