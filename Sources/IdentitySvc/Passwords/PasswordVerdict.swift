/// Whether a password is the one that was hashed.
enum PasswordVerdict: Sendable, Hashable {
  case right
  /// Right, and its hash is of another kind or cost than new ones are.
  case rightButOutdated
  case wrong

  /// - Parameters:
  ///   - hash: nil when there is no account: then as much is computed as if there were.
  ///   - cost: of new hashes.
  init(_ password: String, against hash: String?, cost: Scrypt.Cost = Scrypt.Cost()) {
    guard let hash else {
      _ = Scrypt.verify(password, against: Scrypt.nobodys(cost: cost))
      self = .wrong
      return
    }
    switch Scrypt.verify(password, against: hash) ?? Bcrypt.verify(password, against: hash) {
    case true?: self = hash.hasPrefix(cost.prefix) ? .right : .rightButOutdated
    case false?, nil: self = .wrong
    }
  }
}
