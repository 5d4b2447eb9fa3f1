import Crypto
import ServiceKit

/// Which programs there are, and the SHA-256 of what each of them knows.
struct ServiceSecrets: Sendable {
  private let hashes: [String: [UInt8]]

  /// - Parameter text: `edge=<64 hex digits>,store=<64 hex digits>`; a name may be there twice while its secret is changed.
  init(_ text: String) throws {
    var hashes: [String: [UInt8]] = [:]
    for entry in text.split(separator: ",") {
      let parts = entry.split(separator: "=", omittingEmptySubsequences: false)
      guard parts.count == 2, Self.isName(parts[0]), let hash = Self.hash(hex: parts[1]) else {
        throw StartupFailure(
          "--service-secrets must be NAME=SHA256,… with the SHA-256 of each program's secret in 64 hex digits"
        )
      }
      hashes[String(parts[0]), default: []] += hash
    }
    self.hashes = hashes
  }

  /// Whether it is the secret of that program. Takes as long for any secret of the same length, and for a program that
  /// does not exist.
  func admit(_ secret: String, of service: String) -> Bool {
    let told = Array(SHA256.hash(data: Array(secret.utf8)))
    let known = hashes[service] ?? []
    var isFound = false
    for start in stride(from: 0, to: max(known.count, Self.hashBytes), by: Self.hashBytes) {
      var difference: UInt8 = 0
      for index in 0..<Self.hashBytes {
        difference |= told[index] ^ (start + index < known.count ? known[start + index] : ~told[index])
      }
      isFound = isFound || difference == 0
    }
    return isFound
  }

  private static let hashBytes = 32

  private static func isName(_ text: Substring) -> Bool {
    (1...50).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        $0 == UInt8(ascii: "-") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
      }
  }

  private static func hash(hex: Substring) -> [UInt8]? {
    let digits = Array(hex)
    guard digits.count == 2 * hashBytes else { return nil }
    var hash: [UInt8] = []
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let byte = UInt8(String(digits[index...index + 1]), radix: 16) else { return nil }
      hash.append(byte)
    }
    return hash
  }
}
