drop table if exists
{load}_events, {load}_contents, {load}_circumstances, {load}_repeated_events, {load}_content_ids, {load}_circumstance_ids
