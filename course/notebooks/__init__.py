"""The lessons as files: both editions in step, one form, the first cell, an edition to solve."""
