"""Values to text: no decision is made here."""
