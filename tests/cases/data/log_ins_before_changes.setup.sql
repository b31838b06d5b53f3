create schema s1;
create schema s2;
create role r login;
grant all on schema s1,s2,public to r;
alter role r set search_path=s1;
