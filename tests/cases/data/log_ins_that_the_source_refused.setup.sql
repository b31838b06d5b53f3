create role nolog nologin;
create role lim login connection limit 1;
grant all on schema public to lim;
