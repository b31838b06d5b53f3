do $$ begin if not exists (select from pg_roles where rolname='shop') then create role shop login; end if; end $$;
create table job(id int primary key, state text default 'new', by_worker text);
insert into job select g from generate_series(1,60) g;
grant all on job to shop;
alter database app set deadlock_timeout = '50ms';
