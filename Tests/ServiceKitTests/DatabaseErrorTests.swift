import Postgres
import RPC
import Testing

@testable import ServiceKit

@Suite("What callers are told of the database")
struct DatabaseErrorTests {
  private static func server(_ state: SQLState) -> PostgresError {
    var error = PostgresError(.server, "secret words of Postgres")
    error.sqlState = state
    return error
  }

  private static func client(_ kind: PostgresError.Kind) -> PostgresError {
    PostgresError(kind, "secret words of libpq", maybeApplied: true)
  }

  @Test(
    "Each failure has its status and its reason, and none tells what Postgres said",
    arguments: [
      (client(.unavailable), .unavailable, "DATABASE_UNAVAILABLE", Duration.seconds(1)),
      (client(.connectionLost), .unavailable, "DATABASE_UNAVAILABLE", .seconds(1)),
      (client(.queueFull), .resourceExhausted, "OVERLOADED", .seconds(1)),
      (client(.deadlineExceeded), .deadlineExceeded, "DEADLINE_EXCEEDED", nil),
      (server(.queryCanceled), .deadlineExceeded, "DEADLINE_EXCEEDED", nil),
      (server(.serializationFailure), .aborted, "CONFLICT", nil),
      (server(.deadlockDetected), .aborted, "CONFLICT", nil),
      (server(.lockNotAvailable), .aborted, "CONFLICT", nil),
      (server(.adminShutdown), .unavailable, "DATABASE_UNAVAILABLE", .seconds(1)),
      (server(.readOnlyTransaction), .unavailable, "DATABASE_UNAVAILABLE", .seconds(1)),
      (server(.characterNotInRepertoire), .invalidArgument, "VALIDATION_FAILED", nil),
    ] as [(PostgresError, StatusCode, String, Duration?)])
  func told(error: PostgresError, code: StatusCode, reason: String, retryAfter: Duration?) throws {
    let told = try #require(error.rpcError)
    #expect(told.code == code)
    #expect(told.reason == reason)
    #expect(told.retryAfter == retryAfter)
    #expect(!told.message.contains("secret"))
  }

  @Test(
    "A mistake of ours is no caller's business: it becomes INTERNAL, and is logged whole",
    arguments: [client(.decoding), client(.misuse), server(.undefinedTable), server(.insufficientPrivilege)])
  func untold(error: PostgresError) {
    #expect(error.rpcError == nil)
  }

  @Test("A violated constraint is its noun's to name; unnamed, it is a mistake of ours")
  func constraint() {
    #expect(Self.server(.uniqueViolation).rpcError == nil)
  }
}
