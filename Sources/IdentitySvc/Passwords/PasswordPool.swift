import NIOPosix
import RPC
import ServiceKit
import ServiceLifecycle
import Synchronization

/// Where passwords are hashed: a few threads of their own, for a hash takes a tenth of a second and 16 MiB, and would
/// hold up every other call of an event loop meanwhile.
final class PasswordPool: Service {
  private let pool: NIOThreadPool
  private let most: Int
  private let cost: Scrypt.Cost
  /// Hashing and waiting.
  private let admitted = Atomic(0)
  private let computed = Atomic(0)

  init(threads: Int, mostWaiting: Int, cost: Scrypt.Cost = Scrypt.Cost()) {
    self.cost = cost
    pool = NIOThreadPool(numberOfThreads: threads)
    most = threads + mostWaiting
    pool.start()
  }

  /// Hashes computed so far: what a sign-in costs, whoever tries.
  var computations: Int { computed.load(ordering: .relaxed) }

  func hash(_ password: String) async throws -> String {
    try await compute { [cost] in try Scrypt.hash(password, cost: cost) }
  }

  /// Whether it is the password of that hash. Without a hash, for an account that does not exist, it costs the same.
  func verify(_ password: String, against hash: String?) async throws -> PasswordVerdict {
    try await compute { [cost] in PasswordVerdict(password, against: hash, cost: cost) }
  }

  private func compute<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws
    -> Result
  {
    guard admitted.wrappingAdd(1, ordering: .relaxed).newValue <= most else {
      admitted.wrappingSubtract(1, ordering: .relaxed)
      throw PasswordError.overloaded.rpcError
    }
    defer { admitted.wrappingSubtract(1, ordering: .relaxed) }
    return try await pool.runIfActive { [self] in
      computed.wrappingAdd(1, ordering: .relaxed)
      return try work()
    }
  }

  func run() async throws {
    try? await gracefulShutdown()
    try? await pool.shutdownGracefully()
  }
}

/// Why a password cannot be taken.
enum PasswordError: Error, Hashable {
  case overloaded

  var rpcError: RPCError {
    switch self {
    case .overloaded:
      RPCError(
        .resourceExhausted, "too many people are signing in at this moment", reason: "OVERLOADED",
        retryAfter: .seconds(1))
    }
  }
}
