create table p(id bigint generated always as identity, label text unique);
create table log(id serial, what text);
create table t(id serial, label text unique);
create function logs() returns trigger language plpgsql as $$ begin insert into log(what) values (new.label); return new; end $$;
create trigger logs before insert on t for each row execute function logs();
create function add(label text) returns bigint language plpgsql as $$
declare it bigint; begin insert into p(label) values (label) returning id into it; return it; end $$;
