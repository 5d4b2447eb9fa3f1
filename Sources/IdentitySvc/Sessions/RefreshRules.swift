/// What a refresh token is worth.
enum RefreshRules {
  /// How it stands with a token and its session.
  struct Token: Hashable, Sendable {
    /// The session, by whatever.
    var hasEnded: Bool
    var expiresAt: Instant
    var isUsed: Bool
  }

  enum Verdict: Hashable, Sendable {
    case rotate
    case refuse(SessionError)
    /// Somebody else has used it. One of the two is a thief, and nobody can say which: the session ends. A client whose
    /// answer was lost and who tries again is taken for one, too, and has to sign in again; any time of grace would be
    /// the thief's as well.
    case end
  }

  static func decide(_ token: Token?, now: Instant) -> Verdict {
    guard let token else { return .refuse(.unknownToken) }
    if token.hasEnded { return .refuse(.ended) }
    if token.isUsed { return .end }
    if token.expiresAt <= now { return .refuse(.expired) }
    return .rotate
  }
}
