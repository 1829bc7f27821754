"""What commands print: tables, facts and plans as text."""
