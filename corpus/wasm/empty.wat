;; A module with nothing in it: no memory.
(module)
