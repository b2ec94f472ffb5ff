"""What pages, pictures and shared reports have in common: words and numbers for people, spans of days, cards, stories,
and what one listener shows to others. The API and the dashboard both stand on it."""
