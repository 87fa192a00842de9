-- SPDX-License-Identifier: GPL-2.0-or-later
-- An in-memory database: inserts, indexes, joins, aggregates, sorting.
PRAGMA journal_mode = OFF;
CREATE TABLE item (id INTEGER PRIMARY KEY, grp INTEGER, name TEXT, price REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
INSERT INTO item SELECT i, i * 7919 % 997, 'item ' || (i * 31 % 10007), (i * 13 % 1000) / 10.0 FROM n;
CREATE INDEX item_grp ON item (grp);
CREATE INDEX item_name ON item (name);
CREATE TABLE grp (id INTEGER PRIMARY KEY, label TEXT);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 996)
INSERT INTO grp SELECT i, 'group ' || i FROM n;
SELECT count(*), round(sum(price), 1) FROM item JOIN grp ON grp.id = item.grp WHERE label LIKE 'group 1%';
SELECT grp, count(*) AS c, round(avg(price), 2) FROM item GROUP BY grp ORDER BY c DESC, grp LIMIT 3;
SELECT name, max(price) FROM item GROUP BY name ORDER BY 2 DESC, 1 LIMIT 3;
UPDATE item SET price = price * 1.1 WHERE grp % 3 = 0;
SELECT round(sum(price), 1) FROM item;
SELECT count(DISTINCT name) FROM item WHERE name BETWEEN 'item 2' AND 'item 7';
DELETE FROM item WHERE id % 5 = 0;
SELECT count(*) FROM item;
