"""The answers of a session of a lesson: saved in a file, taken back in another session, counted."""

from course_utils.session.keeping import restore, save, solved

__all__ = ["restore", "save", "solved"]
