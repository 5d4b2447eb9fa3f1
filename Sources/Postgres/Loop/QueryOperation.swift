internal import NIOCore

/// A step of a script or a copy on a leased connection. One at a time.
final class QueryOperation: Waiter<QueryOperation.Outcome>, @unchecked Sendable {
  enum Kind {
    case script(sql: String)
    case startCopy(sql: String)
    case write(ByteBuffer)
    /// Ends the data of a copy in; a failure makes the server drop it.
    case endCopy(failure: String?)
    case read
  }

  enum Outcome: Sendable {
    case done(rows: Int)
    case chunk(ByteBuffer)
  }

  let kind: Kind
  let deadline: NIODeadline

  init(_ kind: Kind, deadline: NIODeadline) {
    self.kind = kind
    self.deadline = deadline
  }
}
