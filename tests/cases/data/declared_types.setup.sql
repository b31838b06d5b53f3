create table o(id serial, k text, v text); create table t(i int, b bigint, n numeric, s text, f float8, d date, ts timestamp, tz timestamptz, iv interval, j jsonb, u uuid, bo bool, ai int[], at text[], r int4range, by bytea, ip inet, m money, bt bit(4), vb varbit);
create type mood as enum ('sad','ok','happy'); create domain pos as int check (value>0); create domain em as text check (value like '%@%'); create type pair as (a int, b text);
create table c(i int, m mood, p pos, e em, pr pair, pt point, bx box, tv tsvector, ma macaddr, ci cidr);
create function pick(int) returns text language sql immutable as $$ select 'int' $$; create function pick(text) returns text language sql immutable as $$ select 'text' $$; create function pick(mood) returns text language sql immutable as $$ select 'mood' $$;
create function addd(date, int) returns date language sql immutable as $$ select $1+$2 $$;
create function two(int, out a int, out b text) language sql as $$ select $1, 'x'::text $$;
create procedure outp(in a int, inout r int) language plpgsql as $$ begin r := a+1; insert into o(k,v) values ('outp', r::text); end $$;
insert into t values (1,1,1,'a',1,'2020-01-01','2020-01-01','2020-01-01','1 day','{}',null,true,'{1}','{a}','[1,2)','x','10.0.0.1','1','1010','101');
insert into c values (1,'ok',1,'a@b','(1,x)','(1,2)','(0,0),(1,1)','a b','08:00:2b:01:02:03','10.0.0.0/8');
