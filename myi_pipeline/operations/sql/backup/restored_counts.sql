select (select count(*) from app.users), (select count(*) from raw.listening_events)
