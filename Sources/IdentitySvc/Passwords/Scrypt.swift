import Crypto
import CryptoExtras
import FoundationEssentials

/// scrypt (RFC 7914) in the form of passlib: `$scrypt$ln=14,r=8,p=5$<salt>$<key>`, base64 without padding.
///
/// N=2^14, r=8, p=5 is the OWASP cheat sheet's setting for 16 MiB.
enum Scrypt {
  struct Cost: Hashable, Sendable {
    var logRounds = 14
    var blockSize = 8
    var parallelism = 5

    /// What `hash` begins with.
    var prefix: String { "$scrypt$\(text)$" }

    fileprivate var text: String { "ln=\(logRounds),r=\(blockSize),p=\(parallelism)" }
  }

  private static let saltBytes = 16
  private static let keyBytes = 32

  static func hash(_ password: String, cost: Cost = Cost()) throws -> String {
    var random = SystemRandomNumberGenerator()
    let salt = (0..<saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    let key = try derive(password, salt: salt, cost: cost)
    return "\(cost.prefix)\(encoded(salt))$\(encoded(key))"
  }

  /// Nil for a text that is no hash of ours.
  static func verify(_ password: String, against hash: String) -> Bool? {
    let parts = hash.split(separator: "$", omittingEmptySubsequences: false)
    guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt", let cost = cost(parts[2]),
      let salt = decoded(parts[3]), !salt.isEmpty, let key = decoded(parts[4]), key.count == keyBytes,
      let derived = try? derive(password, salt: salt, cost: cost)
    else { return nil }
    // Takes as long wherever they differ.
    return zip(derived, key).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
  }

  /// A hash that no password has: its key is none that was derived. Comparing with it costs what comparing with
  /// somebody's does.
  static func nobodys(cost: Cost) -> String {
    "\(cost.prefix)\(encoded([UInt8](repeating: 0, count: saltBytes)))$\(encoded([UInt8](repeating: 0, count: keyBytes)))"
  }

  private static func derive(_ password: String, salt: [UInt8], cost: Cost) throws -> [UInt8] {
    // The library takes the address of the first byte, and there is none in an empty password; nobody's is.
    let bytes = password.isEmpty ? [0] : Array(password.utf8)
    return try KDF.Scrypt.deriveKey(
      from: bytes, salt: salt, outputByteCount: keyBytes, rounds: 1 << cost.logRounds,
      blockSize: cost.blockSize,
      parallelism: cost.parallelism
    ).withUnsafeBytes { Array($0) }
  }

  /// Within what the machine bears, whatever a stored hash says.
  private static func cost(_ text: Substring) -> Cost? {
    let parts = text.split(separator: ",").map { $0.split(separator: "=") }
    guard parts.count == 3, parts.map(\.first) == ["ln", "r", "p"], let logRounds = Int(parts[0].last ?? ""),
      let blockSize = Int(parts[1].last ?? ""), let parallelism = Int(parts[2].last ?? ""),
      (1...20).contains(logRounds), (1...32).contains(blockSize), (1...16).contains(parallelism)
    else { return nil }
    return Cost(logRounds: logRounds, blockSize: blockSize, parallelism: parallelism)
  }

  private static func encoded(_ bytes: [UInt8]) -> String {
    String(Data(bytes).base64EncodedString().prefix { $0 != "=" })
  }

  private static func decoded(_ text: Substring) -> [UInt8]? {
    let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
    return Data(base64Encoded: text + padding).map { Array($0) }
  }
}
