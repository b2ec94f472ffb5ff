"""What people upload: reading archives (`files/`), importing them and accounting for every row, the uploads folder."""
