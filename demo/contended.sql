-- Transactions that do not commute: what a row ends up as depends on the order of all the updates
-- before it. Two of a few rows, locked in the order of their ids (no deadlocks), and held for a
-- moment so that others queue up behind them.
\set a random(1, 8)
\set b 1 + (:a + random(0, 6)) % 8
\set first least(:a, :b)
\set second greatest(:a, :b)
\set k random(1, 1000000)
\set pause random(2, 10)
begin;
update hot set v = (v * 31 + :k) % 1000003, updates = updates + 1 where id = :first;
\sleep :pause ms
update hot set v = (v * 31 + (select v from hot where id = :first)) % 1000003, updates = updates + 1 where id = :second;
commit;
