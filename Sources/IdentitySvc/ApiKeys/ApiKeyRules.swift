/// What may become of API keys.
enum ApiKeyRules {
  /// How long a key works beside the one that takes its place, at most.
  static let overlap = Duration.days(7)
  /// Keys of a line that work at a time.
  static let mostOfLine = 2

  struct Key: Hashable, Sendable {
    var createdAt: Instant
    var expiresAt: Instant?
    var isRevoked: Bool

    func works(at now: Instant) -> Bool { !isRevoked && (expiresAt.map { $0 > now } ?? true) }
  }

  struct Rotation: Hashable, Sendable {
    /// When the key that is replaced ends.
    var formerExpiresAt: Instant
    /// When its successor does: as long after its beginning as the former would have lived.
    var nextExpiresAt: Instant?
  }

  /// - Parameter line: all keys of the line, this one among them.
  static func rotate(_ key: Key, line: [Key], now: Instant) throws(ApiKeyError) -> Rotation {
    guard key.works(at: now) else { throw .notWorking }
    guard line.filter({ $0.works(at: now) }).count < mostOfLine else { throw .inRotation }
    let end = now + overlap
    return Rotation(
      formerExpiresAt: key.expiresAt.map { min($0, end) } ?? end,
      nextExpiresAt: key.expiresAt.map { now + ($0 - key.createdAt) })
  }

  /// Keys make keys, but none that can do more than they.
  /// - Parameter own: the scopes of the key that acts; nil for a person.
  static func give(_ scopes: [String], own: [String]?) throws(ApiKeyError) {
    guard let own, !own.contains("*") else { return }
    let beyond = scopes.filter { !own.contains($0) }
    guard beyond.isEmpty else { throw .scopesExceedOwn(beyond) }
  }
}
