internal import CoreMetrics
package import Logging
internal import NIOCore
package import Postgres
package import RPC
package import Schema
internal import ServiceLifecycle

/// Lets an operation have its effect once for all calls that bring the same idempotency key, and gives each of them the
/// first answer (CONTRACT.md, "Idempotency"). For rpcs whose access option says `idempotency_key`.
///
/// ```swift
/// func createStore(_ request: CreateStoreRequest, _ context: CallContext) async throws -> Store {
///   // Parse: what throws here is not kept.
///   return try await idempotency.once(request, context, tenant: tenant) { transaction in
///     // Load, decide, save.
///   }
/// }
/// ```
///
/// The answer is kept in the transaction of its effect, so that no crash comes between them. A key belongs to a tenant,
/// a subject and a method, and counts for 24 hours. Success is kept, and so are refusals that come of the state of things
/// (ALREADY_EXISTS, FAILED_PRECONDITION); all else leaves nothing, and the same key may be tried again.
///
/// The client's configuration names the schema, in which `migration` has made the table. Run as a service it deletes
/// what has expired.
package struct Idempotency: Service {
  let postgres: PostgresClient
  private let required: Set<String>
  private let seal: AnswerSeal
  private let now: @Sendable () -> PostgresTimestamp
  private let logger: Logger
  private let outcomes = Outcomes()

  package static let metadataKey = "idempotency-key"
  /// Says of an answer that it is the one given before: in the headers of a success and the details of an error.
  package static let replayed = (metadata: "idempotency-replayed", detail: "idempotencyReplayed")

  /// How long an answer is kept.
  static let lifetime = Duration.seconds(24 * 3600)
  /// Bytes of an answer. It is about one thing that was made, not a list of them.
  static let mostAnswerBytes = 256 << 10

  /// - Parameters:
  ///   - contract: says which rpcs are refused without a key.
  ///   - secret: what answers that hold secrets are sealed with.
  package init(
    postgres: PostgresClient, contract: DescriptorSet, secret: SealingSecret, logger: Logger,
    now: @escaping @Sendable () -> PostgresTimestamp = { .now() }
  ) {
    self.postgres = postgres
    required = Set(
      contract.services.flatMap(\.methods).filter { $0.access?.idempotencyKey == .required }.map(\.path))
    seal = AnswerSeal(secret)
    self.logger = logger
    self.now = now
  }

  /// Runs an operation in a transaction, and with a key once.
  ///
  /// - Parameters:
  ///   - tenant: whose rows the transaction may see.
  ///   - holdsSecret: the answer holds what is shown this once. It is kept encrypted, with a key that is made from the
  ///     idempotency key and the service's secret: the database alone does not tell it.
  ///   - body: the whole effect and the answer. Errors it throws as `RPCError` reach the caller, and undo what it did. It
  ///     may be run again, as `PostgresClient.transaction` has it.
  package func once<Request: Message, Response: Message>(
    _ request: Request, _ context: CallContext, tenant: UUID, holdsSecret: Bool = false,
    _ body: (Transaction) async throws -> Response
  ) async throws -> Response {
    guard let key = try key(of: context) else {
      return try await postgres.transaction(tenant: tenant, deadline: context.deadline) { try await body($0) }
    }
    // Whoever guessed another's key would get their answer.
    guard let subject = try? context.principal.subject else { throw IdempotencyError.noCaller.rpcError }
    let call = KeyedCall(tenant: tenant, subject: subject, method: context.method, key: key)
    let hash = RequestHash.of(request)
    let outcome = try await postgres.transaction(tenant: tenant, deadline: context.deadline) { transaction in
      if let kept = try await transaction.executeOne(ClaimKey(call: call, at: now())) {
        return try replay(kept, of: call, hash, context) as Outcome<Response>
      }
      let outcome: Outcome<Response>
      do {
        outcome = .first(.success(try await transaction.attempt { try await body(transaction) }))
      } catch let error as RPCError where error.isKept {
        outcome = .first(.failure(error))
      }
      try keep(outcome, of: call, hash, context, holdsSecret, in: transaction)
      return outcome
    }
    return try outcome.get(outcomes)
  }

  /// The key a call brings.
  private func key(of context: CallContext) throws(RPCError) -> String? {
    guard let key = context.metadata[Self.metadataKey] else {
      guard !required.contains(context.method) else { throw IdempotencyError.keyRequired.rpcError }
      return nil
    }
    let isPrintable = key.utf8.allSatisfy { (0x20...0x7e).contains($0) }
    guard isPrintable, (1...255).contains(key.utf8.count) else { throw IdempotencyError.badKey.rpcError }
    return key
  }

  private func keep<Response: Message>(
    _ outcome: Outcome<Response>, of call: KeyedCall, _ hash: ByteBuffer, _ context: CallContext,
    _ holdsSecret: Bool, in transaction: Transaction
  ) throws {
    var answer: ByteBuffer
    var code = StatusCode.ok
    switch outcome.result {
    case .success(let response): answer = response.encoded()
    case .failure(let error):
      answer = ByteBuffer(bytes: error.statusBytes)
      code = error.code
    }
    guard answer.readableBytes <= Self.mostAnswerBytes else {
      throw RPCError(.internal, "an answer of \(answer.readableBytes) bytes is too large to be kept")
    }
    if holdsSecret { answer = try seal.close(answer, of: call) }
    transaction.executeAtCommit(
      KeepAnswer(
        call: call, hash: hash, code: Int16(code.rawValue), isSealed: holdsSecret, answer: answer,
        metadata: context.initialMetadata.pairs, expiresAt: now().advanced(by: Self.lifetime)))
  }

  private func replay<Response: Message>(
    _ kept: KeptAnswer, of call: KeyedCall, _ hash: ByteBuffer, _ context: CallContext
  ) throws -> Outcome<Response> {
    guard let answer = kept.answer else {
      outcomes.inProgress.increment()
      throw IdempotencyError.inProgress.rpcError
    }
    guard kept.hash == hash else {
      outcomes.reused.increment()
      throw IdempotencyError.keyReused.rpcError
    }
    let bytes = kept.isSealed ? try seal.open(answer, of: call) : answer
    guard kept.code == Int16(StatusCode.ok.rawValue) else {
      guard var error = RPCError(statusBytes: Array(buffer: bytes)) else {
        throw RPCError(.internal, "the answer that was kept cannot be read")
      }
      error.details[Self.replayed.detail] = "true"
      return .replayed(.failure(error))
    }
    for (name, value) in kept.pairs { context.setInitialMetadata(name, value) }
    context.setInitialMetadata(Self.replayed.metadata, "true")
    return .replayed(.success(try Response(response: bytes)))
  }

  /// What became of a call, and whether it was this one.
  private enum Outcome<Response: Sendable>: Sendable {
    case first(Result<Response, RPCError>)
    case replayed(Result<Response, RPCError>)

    var result: Result<Response, RPCError> {
      switch self {
      case .first(let result), .replayed(let result): result
      }
    }

    func get(_ outcomes: Outcomes) throws(RPCError) -> Response {
      switch self {
      case .first: outcomes.first.increment()
      case .replayed: outcomes.replayed.increment()
      }
      return try result.get()
    }
  }

  /// How often keys came to what.
  private struct Outcomes: Sendable {
    let first = outcome("first")
    let replayed = outcome("replayed")
    let inProgress = outcome("in_progress")
    let reused = outcome("reused")

    private static func outcome(_ name: String) -> CoreMetrics.Counter {
      CoreMetrics.Counter(label: "idempotency_keys_total", dimensions: [("outcome", name)])
    }
  }
}

// What has expired.
extension Idempotency {
  private static let sweepPause = Duration.seconds(600)
  /// Rows of one transaction.
  private static let sweepBatch = 1000

  package func run() async {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        do {
          try await sweep()
        } catch {
          if Task.isCancelled { return }
          logger.warning("cannot delete expired idempotency keys", metadata: ["error": "\(error)"])
        }
        // Not all processes in step.
        try? await Task.sleep(for: Self.sweepPause * Double.random(in: 0.8...1.2))
      }
    }
  }

  /// Deletes the answers that have expired. Any number of processes may do so at once.
  func sweep() async throws {
    while try await postgres.executeOne(SweepKeys(most: Self.sweepBatch), tenant: nil) == Self.sweepBatch {}
  }
}

extension RPCError {
  /// The state of things refuses the call, and trying again with the same key is to give the same refusal. What a
  /// retry can mend has other codes.
  fileprivate var isKept: Bool { code == .alreadyExists || code == .failedPrecondition }
}

extension Metadata {
  /// Names and values in turn; of text alone.
  fileprivate var pairs: [String] {
    flatMap { entry in
      if case .text(let text) = entry.value { [entry.name, text] } else { [] as [String] }
    }
  }
}
