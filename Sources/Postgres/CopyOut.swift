package import NIOCore

extension PostgresClient {
  /// Streams rows out of the database, in one transaction.
  /// - Parameter body: reads the rows. It may leave before their end.
  @discardableResult
  package func copyOut<Result>(
    _ command: CopyCommand, tenant: UUID?, deadline: NIODeadline? = nil,
    _ body: (CopyRows) async throws -> Result
  ) async throws -> Result {
    let options = TransactionOptions(
      isReadOnly: true, statementTimeout: configuration.copyTimeout, attempts: 1)
    return try await transaction(tenant: tenant, options: options, deadline: deadline) { transaction in
      try await transaction.copyOut(command, body)
    }
  }
}

extension Transaction {
  /// Streams rows out. `options.statementTimeout` bounds all of it. Leaving before the end of the rows ends the
  /// transaction, which can then not be committed unless it is read-only.
  @discardableResult
  package func copyOut<Result>(
    _ command: CopyCommand, _ body: (CopyRows) async throws -> Result
  ) async throws -> Result {
    try await open()
    try await noting { try await lease.startCopy(command.sql, isOut: true, deadline: expiry) }
    let rows = CopyRows(lease: lease, expiry: expiry)
    do {
      let result = try await body(rows)
      // The rest, if there is any, would have to be read and thrown away; a new connection is cheaper.
      if lease.isCopyingOut { lease.discard() }
      return result
    } catch {
      lease.discard()
      throw error
    }
  }
}

/// Chunks of a copy, each of whole rows in the command's format. The server is read only as fast as the chunks are.
package struct CopyRows: AsyncSequence, Sendable {
  package typealias Element = ByteBuffer

  let lease: Lease
  let expiry: NIODeadline

  package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(lease: lease, expiry: expiry) }

  package struct AsyncIterator: AsyncIteratorProtocol {
    let lease: Lease
    let expiry: NIODeadline

    package mutating func next() async throws -> ByteBuffer? {
      try await lease.read(deadline: expiry)
    }
  }
}
