;; Skips JSON (RFC 8259) in a window of a longer text: what is valid, as far as it is whole. It reports no fault; where it
;; stops, json-scan.ts reads on by itself, and so is the only one to say what is wrong.
;;
;; Memory: 0 the kinds of the open containers, by depth; 128 the depth that was reached; 1024 the window.
;; A zero, which is valid nowhere, stands behind the window, so that no read needs a look at where it ends.
(module
  (memory (export "memory") 1 1)

  ;; White space as bits of a number: 0x09, 0x0a, 0x0d, 0x20.
  (global $spaces i64 (i64.const 0x100002600))

  (func $past_space (param $at i32) (result i32)
    (local $byte i32)
    (loop $next
      (local.set $byte (i32.load8_u (local.get $at)))
      (if (i32.gt_u (local.get $byte) (i32.const 0x20)) (then (return (local.get $at))))
      (if (i64.eqz (i64.and (i64.shl (i64.const 1) (i64.extend_i32_u (local.get $byte))) (global.get $spaces)))
        (then (return (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    (unreachable))

  (func $is_digit (param $at i32) (result i32)
    (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)) (i32.const 10)))

  (func $past_digits (param $at i32) (result i32)
    (loop $next
      (if (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)) (i32.const 10))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next))))
    (local.get $at))

  (func $is_hex (param $at i32) (result i32)
    (i32.or
      (call $is_digit (local.get $at))
      ;; 'A' to 'F', and with the bit of lower case 'a' to 'f'.
      (i32.lt_u
        (i32.sub (i32.or (i32.load8_u (local.get $at)) (i32.const 0x20)) (i32.const 0x61))
        (i32.const 6))))

  ;; How long the escape is whose backslash is here; 0 for one that is none, or is cut off.
  (func $escape_length (param $at i32) (result i32)
    (local $byte i32)
    (local.set $byte (i32.load8_u offset=1 (local.get $at)))
    ;; " and / are below 0x40; \ b f n r t from there on.
    (if (i32.lt_u (local.get $byte) (i32.const 0x80))
      (then
        (if (i32.wrap_i64 (i64.and (i64.const 1) (i64.shr_u
              (select (i64.const 0x0014404410000000) (i64.const 0x0000800400000000)
                (i32.ge_u (local.get $byte) (i32.const 0x40)))
              (i64.extend_i32_u (local.get $byte)))))
          (then (return (i32.const 2))))))
    ;; u and four hexadecimal digits
    (if (i32.ne (local.get $byte) (i32.const 0x75)) (then (return (i32.const 0))))
    (if (i32.eqz (i32.and
          (i32.and (call $is_hex (i32.add (local.get $at) (i32.const 2))) (call $is_hex (i32.add (local.get $at) (i32.const 3))))
          (i32.and (call $is_hex (i32.add (local.get $at) (i32.const 4))) (call $is_hex (i32.add (local.get $at) (i32.const 5))))))
      (then (return (i32.const 0))))
    (i32.const 6))

  ;; Past the text of a string: to its closing quote, or to what cannot be part of it.
  (func $past_text (param $at i32) (result i32)
    (local $bytes v128) (local $stops i32) (local $byte i32) (local $length i32) (local $near i32)
    (loop $next
      (local.set $bytes (v128.load (local.get $at)))
      (local.set $stops
        (i8x16.bitmask
          (v128.or
            (v128.or
              (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x22)))
              (i8x16.eq (local.get $bytes) (i8x16.splat (i32.const 0x5c))))
            (i8x16.lt_u (local.get $bytes) (i8x16.splat (i32.const 0x20))))))
      (if (i32.eqz (local.get $stops))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (br $next)))
      (local.set $at (i32.add (local.get $at) (i32.ctz (local.get $stops))))
      (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x5c)) (then (return (local.get $at))))
      (loop $escape
        (local.set $length (call $escape_length (local.get $at)))
        (if (i32.eqz (local.get $length)) (then (return (local.get $at))))
        (local.set $at (i32.add (local.get $at) (local.get $length)))
        ;; Where there is one escape, as in JSON inside JSON, the next is near.
        (local.set $near (i32.add (local.get $at) (i32.const 8)))
        (loop $plain
          (local.set $byte (i32.load8_u (local.get $at)))
          (br_if $escape (i32.eq (local.get $byte) (i32.const 0x5c)))
          (if (i32.or (i32.eq (local.get $byte) (i32.const 0x22)) (i32.lt_u (local.get $byte) (i32.const 0x20)))
            (then (return (local.get $at))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $plain (i32.lt_u (local.get $at) (local.get $near)))))
      (br $next))
    (unreachable))

  ;; What follows returns 0, which is in front of the window, for what is not valid, or not whole.

  ;; Past a string, from its opening quote.
  (func $past_string (param $at i32) (result i32)
    (local.set $at (call $past_text (i32.add (local.get $at) (i32.const 1))))
    (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x22)) (then (return (i32.const 0))))
    (i32.add (local.get $at) (i32.const 1)))

  ;; Past a key and its colon.
  (func $past_key (param $at i32) (result i32)
    (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x22)) (then (return (i32.const 0))))
    (local.set $at (call $past_string (local.get $at)))
    (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))
    (local.set $at (call $past_space (local.get $at)))
    (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x3a)) (then (return (i32.const 0))))
    (i32.add (local.get $at) (i32.const 1)))

  ;; Past one digit or more.
  (func $past_some_digits (param $at i32) (result i32)
    (if (i32.eqz (call $is_digit (local.get $at))) (then (return (i32.const 0))))
    (call $past_digits (i32.add (local.get $at) (i32.const 1))))

  (func $past_number (param $at i32) (result i32)
    (local $byte i32)
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x2d)) ;; -
      (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x30)) ;; 0
      (then (local.set $at (i32.add (local.get $at) (i32.const 1))))
      (else
        (local.set $at (call $past_some_digits (local.get $at)))
        (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))))
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x2e)) ;; .
      (then
        (local.set $at (call $past_some_digits (i32.add (local.get $at) (i32.const 1))))
        (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))))
    (if (i32.eq (i32.or (i32.load8_u (local.get $at)) (i32.const 0x20)) (i32.const 0x65)) ;; e E
      (then
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (if (i32.or (i32.eq (local.get $byte) (i32.const 0x2b)) (i32.eq (local.get $byte) (i32.const 0x2d))) ;; + -
          (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
        (local.set $at (call $past_some_digits (local.get $at)))))
    (local.get $at))

  (func $past_scalar (param $at i32) (param $byte i32) (result i32)
    (if (i32.eq (local.get $byte) (i32.const 0x74)) ;; true
      (then
        (if (i32.ne (i32.load (local.get $at)) (i32.const 0x65757274)) (then (return (i32.const 0))))
        (return (i32.add (local.get $at) (i32.const 4)))))
    (if (i32.eq (local.get $byte) (i32.const 0x66)) ;; f and alse
      (then
        (if (i32.ne (i32.load offset=1 (local.get $at)) (i32.const 0x65736c61)) (then (return (i32.const 0))))
        (return (i32.add (local.get $at) (i32.const 5)))))
    (if (i32.eq (local.get $byte) (i32.const 0x6e)) ;; null
      (then
        (if (i32.ne (i32.load (local.get $at)) (i32.const 0x6c6c756e)) (then (return (i32.const 0))))
        (return (i32.add (local.get $at) (i32.const 4)))))
    (call $past_number (local.get $at)))

  (func $end_window (param $end i32)
    (v128.store (local.get $end) (v128.const i64x2 0 0)))

  ;; From behind the opening quote of a string, or from its middle.
  (func (export "pastText") (param $at i32) (param $end i32) (result i32)
    (call $end_window (local.get $end))
    (call $past_text (local.get $at)))

  ;; From where a value is expected inside $depth containers to where one is expected that is not valid, or not whole, and
  ;; the depth there; or past the end of the container that was the first thing at $floor. Scalars at $floor are not skipped:
  ;; nothing would follow that tells a whole number from one that is cut off.
  (func (export "pastValues") (param $at i32) (param $end i32) (param $depth i32) (param $floor i32) (param $max_depth i32) (result i32)
    (local $safe i32) (local $safe_depth i32) (local $byte i32) (local $open i32)
    (call $end_window (local.get $end))
    (block $stopped
      (loop $value
        (local.set $safe (local.get $at))
        (local.set $safe_depth (local.get $depth))
        (local.set $at (call $past_space (local.get $at)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (block $ended
          (if (i32.eq (local.get $byte) (i32.const 0x22))
            (then
              (br_if $stopped (i32.eq (local.get $depth) (local.get $floor)))
              (local.set $at (call $past_string (local.get $at)))
              (br_if $stopped (i32.eqz (local.get $at)))
              (br $ended)))
          ;; { or [
          (if (i32.eq (i32.or (local.get $byte) (i32.const 0x20)) (i32.const 0x7b))
            (then
              (br_if $stopped (i32.ge_u (local.get $depth) (local.get $max_depth)))
              (local.set $at (call $past_space (i32.add (local.get $at) (i32.const 1))))
              ;; The closing one is two further in ASCII.
              (if (i32.eq (i32.load8_u (local.get $at)) (i32.add (local.get $byte) (i32.const 2)))
                (then
                  (local.set $at (i32.add (local.get $at) (i32.const 1)))
                  (br $ended)))
              ;; Behind the window it may still close: from here on a value would be expected.
              (br_if $stopped (i32.eqz (i32.load8_u (local.get $at))))
              (i32.store8 (local.get $depth) (local.get $byte))
              (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
              (if (i32.eq (local.get $byte) (i32.const 0x7b))
                (then
                  (local.set $at (call $past_key (local.get $at)))
                  (br_if $stopped (i32.eqz (local.get $at)))))
              (br $value)))
          (br_if $stopped (i32.eq (local.get $depth) (local.get $floor)))
          (local.set $at (call $past_scalar (local.get $at) (local.get $byte)))
          (br_if $stopped (i32.eqz (local.get $at))))

        ;; A value has ended: close what closes, then go on behind the next comma.
        (loop $closing
          (if (i32.eq (local.get $depth) (local.get $floor))
            (then
              (i32.store offset=128 (i32.const 0) (local.get $depth))
              (return (local.get $at))))
          (local.set $at (call $past_space (local.get $at)))
          (local.set $byte (i32.load8_u (local.get $at)))
          (local.set $open (i32.load8_u (i32.sub (local.get $depth) (i32.const 1))))
          (if (i32.eq (local.get $byte) (i32.const 0x2c)) ;; ,
            (then
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (br_if $value (i32.eq (local.get $open) (i32.const 0x5b)))
              (local.set $at (call $past_key (call $past_space (local.get $at))))
              (br_if $value (local.get $at))
              (br $stopped)))
          (br_if $stopped (i32.ne (local.get $byte) (i32.add (local.get $open) (i32.const 2))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
          (br $closing))))
    (i32.store offset=128 (i32.const 0) (local.get $safe_depth))
    (local.get $safe)))
