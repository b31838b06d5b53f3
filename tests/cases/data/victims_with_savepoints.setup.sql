create table a(id int primary key, v int not null default 0);
insert into a select g, 0 from generate_series(1, 9) g;
create sequence ran;
-- Only the target has this: it fails some of the statements.
create function clash() returns trigger language plpgsql as $$ begin
  if nextval('ran') in (1, 4, 9) then raise exception using errcode = '40P01', message = 'a victim'; end if;
  return null; end $$;
create trigger clash before update on a for each statement execute function clash();
