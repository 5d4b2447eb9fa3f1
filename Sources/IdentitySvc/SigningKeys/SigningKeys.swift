import Crypto
import Logging
import MainstreetAPI
import Postgres
import RPC
import ServiceKit
import ServiceLifecycle
import Synchronization

/// The platform's signing keys, as this instance knows them: looked up every few seconds, for other instances make some
/// too, and made when it is time.
final class SigningKeys: Service {
  private struct State {
    var published: [SigningKey] = []
    var signers: [(rule: SigningKeyRules.Key, signer: Signer)] = []
  }

  /// What is needed to sign with a key.
  struct Signer: Sendable {
    let principals: PrincipalSigner
    let key: Curve25519.Signing.PrivateKey
    var id: String { principals.keyID }
  }

  private let postgres: PostgresClient
  private let seal: KeySeal
  private let verifier: PrincipalVerifier
  private let rules: SigningKeyRules
  private let now: @Sendable () -> Instant
  private let logger: Logger
  private let state = Mutex(State())

  static let interval = Duration.seconds(5)

  /// - Parameter verifier: is told the keys that count, for identity verifies what it signed itself.
  init(
    postgres: PostgresClient, seal: KeySeal, verifier: PrincipalVerifier,
    rules: SigningKeyRules = SigningKeyRules(),
    now: @escaping @Sendable () -> Instant = { .now() }, logger: Logger
  ) {
    self.postgres = postgres
    self.seal = seal
    self.verifier = verifier
    self.rules = rules
    self.now = now
    self.logger = logger
  }

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      while !Task.isCancelled {
        try? await Task.sleep(for: Self.interval)
        do { try await load() } catch is CancellationError { return } catch {
          // What is known goes on to be used: keys last longer than any database is away.
          logger.error("the signing keys cannot be looked up", metadata: ["error": "\(error)"])
        }
      }
    }
  }

  /// Looks the keys up, and makes one when it is time.
  func load() async throws {
    let keys = try await postgres.execute(ListSigningKeys(), tenant: nil)
    guard rules.nextBeginning(after: keys.map(\.rule), now: now()) != nil else { return try take(keys) }
    try take(try await makeIfDue())
  }

  /// Makes a key at once. Other instances know it within seconds, and it begins to sign after `lead`.
  /// - Parameter withdrawing: takes back all others: what they signed counts for nothing as soon as those who verify
  ///   look again.
  func rotate(lead: Duration, withdrawing: Bool, by caller: Caller) async throws -> SigningKey {
    try await postgres.transaction(tenant: .noTenant) { transaction in
      try await transaction.executeCount(LockSigningKeys())
      let key = try await add(activeFrom: now() + (withdrawing ? .zero : lead), by: caller, in: transaction)
      if withdrawing {
        let withdrawn = try await transaction.execute(WithdrawSigningKeys(keeping: key.id, now: now()))
        try await transaction.audit(
          .signingKeysWithdrawn, in: .noTenant, by: caller, target: "signing_key:\(key.id)",
          details: ["withdrawn": withdrawn.joined(separator: " ")], now: now())
      }
      return key
    }
  }

  private func makeIfDue() async throws -> [SigningKey] {
    try await postgres.transaction(tenant: .noTenant) { transaction in
      try await transaction.executeCount(LockSigningKeys())
      let keys = try await transaction.execute(ListSigningKeys())
      // Another instance may have made it while this one waited for the lock.
      guard let beginning = rules.nextBeginning(after: keys.map(\.rule), now: now()) else { return keys }
      return [
        try await add(activeFrom: beginning, by: Caller(command: "serve"), in: transaction)
      ] + keys
    }
  }

  private func add(activeFrom: Instant, by caller: Caller, in transaction: Transaction) async throws
    -> SigningKey
  {
    let privateKey = Curve25519.Signing.PrivateKey()
    let publicKey = Array(privateKey.publicKey.rawRepresentation)
    let id = SigningKey.id(of: publicKey)
    let key = SigningKey(
      id: id, publicKey: publicKey, sealedPrivateKey: try seal.close(privateKey.rawRepresentation, of: id),
      activeFrom: activeFrom, isWithdrawn: false)
    try await transaction.executeCount(AddSigningKey(key: key, now: now()))
    try await transaction.audit(
      .signingKeyCreated, in: .noTenant, by: caller, target: "signing_key:\(id)",
      details: ["active_from": "\(activeFrom.timestamp)"], now: now())
    return key
  }

  private func take(_ keys: [SigningKey]) throws {
    let (all, now) = (keys.map(\.rule), now())
    let published = Set(rules.published(all, now: now).map(\.id))
    // Those that sign or will; of older ones only the public part is needed.
    let signer = rules.signer(of: all, now: now)
    let signing = keys.filter {
      published.contains($0.id) && ($0.id == signer?.id || $0.activeFrom >= (signer?.activeFrom ?? now))
    }
    let known = state.withLock {
      Dictionary(uniqueKeysWithValues: $0.signers.map { ($0.rule.id, $0.signer) })
    }
    let signers = try signing.map { key in
      (rule: key.rule, signer: try known[key.id] ?? open(key))
    }
    state.withLock { state in
      state.published = keys.filter { published.contains($0.id) }
      state.signers = signers
    }
    try verifier.use(self.published)
  }

  private func open(_ key: SigningKey) throws -> Signer {
    guard let secret = seal.open(key.sealedPrivateKey, of: key.id),
      let privateKey = try? Curve25519.Signing.PrivateKey(rawRepresentation: secret)
    else { throw SigningKeyError.cannotOpen(key.id) }
    return Signer(principals: PrincipalSigner(keyID: key.id, key: privateKey), key: privateKey)
  }

  /// What to sign with at this moment.
  func signer() throws(SigningKeyError) -> Signer {
    let signers = state.withLock { $0.signers }
    guard let rule = rules.signer(of: signers.map(\.rule), now: now()),
      let found = signers.first(where: { $0.rule.id == rule.id })
    else { throw .none }
    return found.signer
  }

  /// What to verify with, the newest first.
  var published: [JsonWebKey] { state.withLock { $0.published }.map(\.webKey) }

  func publicKey(_ id: String) -> Curve25519.Signing.PublicKey? {
    guard let key = state.withLock({ $0.published.first { $0.id == id } }) else { return nil }
    return try? Curve25519.Signing.PublicKey(rawRepresentation: key.publicKey)
  }
}
