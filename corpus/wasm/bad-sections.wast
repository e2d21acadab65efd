;; Sections twice, out of order, of no known kind, and not as long as they say.
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\05\03\01\00\01") "two memory sections")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\01\01\00") "types behind memories")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0a\01\00" "\0c\01\00") "data count behind code")
(assert_malformed (module binary "\00asm\01\00\00\00" "\06\01\00" "\0d\01\00") "tags behind globals")
(assert_malformed (module binary "\00asm\01\00\00\00" "\0e\01\00" "\05\03\01\00\01") "section 14")
(assert_malformed (module binary "\00asm\01\00\00\00" "\ff\01\00") "section 255")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00") "a size past the end")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0a\ff\ff\ff\ff\0f\00") "the largest size")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\0b") "an id, and no size")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\02\01\00") "contents past the section")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\04\01\00\01\00") "bytes left over")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\03\02\00\01") "a count too high")
(assert_malformed (module binary "\00asm\01\00\00\00" "\05\00") "no contents")
(assert_malformed (module binary "\00asm\01\00\00\00" "\0c\02\00\00" "\05\03\01\00\01") "bytes left over in the data count")
(assert_malformed (module binary "\00asm\01\00\00\00" "\00\00" "\05\03\01\00\01") "a custom section without a name")
(assert_malformed (module binary "\00asm\01\00\00\00" "\00\05\05name" "\05\03\01\00\01") "a custom section shorter than its name")
(module binary "\00asm\01\00\00\00" "\05\03\01\00\01" "\00\04\01x\ff\ff" "\00\01\00" "\00\02\01x") ;; custom sections may come twice
(module binary "\00asm\01\00\00\00" "\00\02\01a" "\01\01\00" "\02\01\00" "\03\01\00" "\04\01\00" "\05\03\01\00\01" "\0d\01\00" "\06\01\00" "\07\01\00" "\09\01\00" "\0c\01\00" "\0a\01\00" "\0b\01\00" "\00\02\01b") ;; all of them, empty
