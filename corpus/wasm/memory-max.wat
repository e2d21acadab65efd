;; A memory with a maximum, and no data.
(module
  (memory 1 3))
