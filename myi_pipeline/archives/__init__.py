"""What people upload: reading archives (`files/`), importing them with an account of every row, the uploads folder."""
