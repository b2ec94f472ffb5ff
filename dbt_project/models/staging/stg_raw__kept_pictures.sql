select
    url,
    encode(digest, 'hex') as sha256
from {{ source('raw', 'kept_pictures') }}
