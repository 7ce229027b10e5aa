-- What a visitor's orders brought, whichever session they were linked to.
create index orders_by_visitor on orders (site_id, visitor_id) where visitor_id is not null
