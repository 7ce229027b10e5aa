-- Attribution (touch_*) and device and place (context_*) arrive on different events: the landing brings both, the browser script
-- brings a better context a moment later (client hints that a first navigation lacks). Each group is therefore replaced as a whole
-- by its own winner: the earliest (touch_at, touch_event), and the most detailed, then earliest context.
-- These columns are not rebuildable from events, which carry neither (it would double their size); sums, times and visits are.
alter table sessions
    -- 1: with high-entropy client hints; 0: without. Null until a context arrives.
    add column context_detail smallint,
    add column context_at timestamptz,
    add column context_event uuid,
    -- Where first_seen stood before the last write moved it back, null if that write did not: the writer marks the old hour too.
    add column moved_from timestamptz
