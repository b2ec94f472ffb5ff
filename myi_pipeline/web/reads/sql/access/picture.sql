select
    media_type,
    content
from ops.picture_content(%(digest)s)
