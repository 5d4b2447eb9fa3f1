import CCrypt

/// bcrypt, to verify the hashes of accounts that came from elsewhere; libxcrypt has it.
enum Bcrypt {
  /// Nil for a text that is no bcrypt hash this machine bears: `$2a$`, `$2b$` or `$2y$` and a cost of at most 15.
  static func verify(_ password: String, against hash: String) -> Bool? {
    guard isHash(hash) else { return nil }
    // bcrypt would end at a NUL and take whatever stands behind it.
    guard !password.utf8.contains(0) else { return false }
    // 32 KiB, which the library fills with what it computed: on the heap, and forgotten.
    let data = UnsafeMutablePointer<crypt_data>.allocate(capacity: 1)
    data.initialize(to: crypt_data())
    defer {
      explicit_bzero(data, MemoryLayout<crypt_data>.size)
      data.deallocate()
    }
    guard let found = crypt_r(password, hash, data).map({ Array(String(cString: $0).utf8) }) else {
      return nil
    }
    let expected = Array(hash.utf8)
    // Takes as long wherever they differ.
    return found.count == expected.count
      && zip(found, expected).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
  }

  static func isHash(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard bytes.count == 60, ["$2a$", "$2b$", "$2y$"].contains(String(text.prefix(4))),
      bytes[6] == UInt8(ascii: "$"),
      let cost = Int(text.dropFirst(4).prefix(2))
    else { return false }
    return (4...15).contains(cost)
  }
}
