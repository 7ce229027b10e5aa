-- A refused event that is delivered again is one dead letter, not two: the queue delivers at least once.
create unique index dead_letters_once on dead_letters (site_id, kind, code, md5(payload))
