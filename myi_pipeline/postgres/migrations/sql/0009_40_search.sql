-- Search: the names of the catalogue in the form in which two spellings are equal, and an index of their trigrams.

-- Built in alone, so that every server folds alike: no extension, and no letter that the database's locale decides.
create function ops.folded_name(name text) returns text
language plpgsql immutable strict parallel safe as $$
declare
    letters text := lower(name collate "C");
    words text;
begin
    if octet_length(letters) <> length(letters) then
        -- Letters without their marks; then the same letter for each that Unicode does not take apart, and small Greek,
        -- Cyrillic and Armenian ones. Composed again at the end, as Hangul and kana would stay in pieces.
        letters := lower(normalize(letters, nfkd) collate "C");
        letters := regexp_replace(
            letters,
            '[\u00ad\u02b9-\u02bf\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670'
            || '\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u200b-\u200f\u2018-\u201b\u2032\u202a-\u202e'
            || '\u2060-\u206f\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff]',
            '', 'g'
        );
        letters := translate(
            letters,
            'øØđĐðÐłŁħĦıŋŊəƏŧŦςΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩАБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЂЄЅІЈЉЊЋЏҐҒҚҢҮҰҲҺӘӨ'
            || 'ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖ',
            'ooddddllhhinneettσαβγδεζηθικλμνξοπρστυφχψωабвгдежзиклмнопрстуфхцчшщъыьэюяђєѕіјљњћџґғқңүұҳһәө'
            || 'աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ'
        );
        letters := replace(replace(replace(letters, 'ß', 'ss'), 'ẞ', 'ss'), 'æ', 'ae');
        letters := replace(replace(replace(replace(letters, 'Æ', 'ae'), 'œ', 'oe'), 'Œ', 'oe'), 'þ', 'th');
        letters := replace(letters, 'Þ', 'th');
        letters := normalize(letters, nfkc);
    end if;
    words := replace(replace(replace(letters, '''', ''), '&', ' and '), ' + ', ' and ');
    -- Ke$ha, A$AP, P!nk.
    if words ~ '[$!]' then
        words := regexp_replace(replace(words, '$', 's'), '([a-z])!([a-z])', '\1i\2', 'g');
    end if;
    words := btrim(regexp_replace(
        words,
        '[\u0001-/:-@\[-`{-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u05be\u05f3\u05f4\u060c\u061b\u061f'
        || '\u0964\u2000-\u206f\u2190-\u2bff\u3000-\u3004\u3008-\u3020\u3030\u30fb]+',
        ' ', 'g'
    ));
    -- Guns N' Roses, rock 'n' roll.
    if words like '% n %' then
        words := replace(words, ' n ', ' and ');
    end if;
    -- A name of signs alone, as "!!!", is known by them.
    return case
        when words <> '' and words <> 's' then words
        else replace(regexp_replace(letters, '\s+', '', 'g'), '/', '|')
    end;
end $$;
comment on function ops.folded_name(text) is
'A name without case, accents and punctuation, in words parted by single spaces: two spellings of one name are equal.';

-- The names of a content, parted by " / ", which no folded name holds.
create function ops.folded_names(title text, creator text, collection text) returns text
language sql immutable parallel safe
return
    coalesce(ops.folded_name(left(title, 200)), '')
    || ' / ' || coalesce(ops.folded_name(left(creator, 200)), '')
    || ' / ' || coalesce(ops.folded_name(left(collection, 200)), '');

-- Three letters each: those of every word, with two spaces before it and one behind, and those across two words, as "acd"
-- of "ac dc". Scripts without spaces are also known by pairs. The cost keeps the planner from working them out for a whole
-- table instead of asking the index.
create function ops.search_grams(names text) returns text []
language plpgsql immutable strict parallel safe cost 5000 as $$
declare
    grams text [] := '{}';
    name text;
    spread text;
    joined text;
begin
    foreach name in array string_to_array(names, ' / ') loop
        continue when name = '';
        spread := '  ' || replace(name, ' ', '   ') || ' ';
        for place in 1 .. length(spread) - 2 loop
            if substr(spread, place + 1, 2) <> '  ' then
                grams := grams || substr(spread, place, 3);
            end if;
        end loop;
        if name like '% %' then
            joined := replace(name, ' ', '');
            for place in 1 .. length(joined) - 2 loop
                grams := grams || substr(joined, place, 3);
            end loop;
        end if;
        if octet_length(name) <> length(name) and name ~ '[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]' then
            for place in 1 .. length(name) - 1 loop
                grams := grams || substr(name, place, 2);
            end loop;
        end if;
    end loop;
    return grams;
end $$;

-- Kept by the database itself, whoever writes the name.
alter table raw.artists add column search_text text
generated always as (ops.folded_name(left(name, 200))) stored;
alter table raw.contents add column search_text text
generated always as (ops.folded_names(title, creator, collection)) stored;
comment on column raw.artists.search_text is 'The name as the search compares it.';
comment on column raw.contents.search_text is 'Title, creator and collection as the search compares them.';

-- What waits to be sorted in keeps its room for good: four megabytes by default, as much as the index of a small catalogue.
create index artists_search on raw.artists using gin (ops.search_grams(search_text))
with (gin_pending_list_limit = 256);
create index tracks_search on raw.contents using gin (ops.search_grams(search_text))
with (gin_pending_list_limit = 256) where kind_id = 1;
-- Episodes and chapters are few, and a word that many tracks have is in few of them.
create index spoken_search on raw.contents using gin (ops.search_grams(search_text))
with (gin_pending_list_limit = 256) where kind_id <> 1;
-- Its statistics would be worked out for thousands of rows at each analyze, and tell the planner nothing.
alter index raw.artists_search alter column 1 set statistics 0;
alter index raw.tracks_search alter column 1 set statistics 0;
alter index raw.spoken_search alter column 1 set statistics 0;

-- What is searched for is folded by the same function. The schema ops is closed to those who read marts: this one's body was
-- resolved when it was made.
create function marts.folded(name text) returns text
language sql immutable strict parallel safe
return ops.folded_name(name);
comment on function marts.folded(text) is
'A name without case, accents and punctuation, in words parted by single spaces: two spellings of one name are equal.';
