"""The course's words: its glossary, and the catalogues of its messages."""
