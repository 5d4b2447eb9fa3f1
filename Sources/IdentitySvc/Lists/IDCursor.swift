import Postgres
import RPC

/// Where a page of a list ends that is in the order of ids, which is that of time. It shows nothing that the page did not,
/// and leads only to what is the caller's own tenant's.
struct IDCursor {
  /// What stands in front, so that the cursor of one list is not taken for another's.
  let prefix: String

  static let invitations = IDCursor(prefix: "i1-")
  static let apiKeys = IDCursor(prefix: "k1-")
  static let auditEvents = IDCursor(prefix: "a1-")

  func text(_ id: String) -> String { prefix + id }

  /// - Returns: nil for the first page.
  func id(_ cursor: String) throws(RPCError) -> UUID? {
    if cursor.isEmpty { return nil }
    guard cursor.hasPrefix(prefix), let id = UUID(cursor.dropFirst(prefix.count)) else { throw .badCursor }
    return id
  }
}

extension UUID {
  /// Later than every other, in front of a list that begins with the newest.
  static let last = UUID(high: .max, low: .max)
}

/// A page of a list and where the next one begins, from one element more than was asked for.
func page<Element>(
  _ found: [Element], limit: Int, cursor: IDCursor, id: (Element) -> String
) -> (elements: [Element], next: String?) {
  guard found.count > limit else { return (found, nil) }
  let elements = Array(found.prefix(limit))
  return (elements, elements.last.map { cursor.text(id($0)) })
}
