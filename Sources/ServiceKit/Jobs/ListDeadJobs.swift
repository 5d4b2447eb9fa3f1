internal import Jobs
package import MainstreetAPI
internal import Postgres
package import RPC

extension JobsAdmin {
  package func listDeadJobs(_ request: ListDeadJobsRequest, _ context: CallContext) async throws
    -> ListDeadJobsResponse
  {
    let limit = request.limit == 0 ? 50 : Int(request.limit)
    let tenant = try tenant(of: context)
    let filter = try LibraryDeadJobFilter(request.filter, tenant: tenant)
    // One more than asked for tells whether there is another page.
    let found = try await jobs.dead(filter, after: DeadJobCursor.place(request.cursor), most: limit + 1)
    let page = found.prefix(limit)
    return ListDeadJobsResponse(
      jobs: page.map { DeadJob($0, whole: tenant == nil) },
      nextCursor: found.count > limit ? page.last.map { DeadJobCursor.text($0.place) } : nil)
  }
}

/// Where a page ends. It shows nothing that the page did not, and leads only to jobs the caller may see anyhow.
enum DeadJobCursor {
  private static let prefix = "d1-"

  static func text(_ place: DeadJobPlace) -> String {
    let time = String(UInt64(bitPattern: place.diedAt.microseconds), radix: 16)
    return "\(prefix)\(time)-\(place.id.description.replacing("-", with: ""))"
  }

  /// - Returns: nil for the first page.
  static func place(_ cursor: String) throws(RPCError) -> DeadJobPlace? {
    if cursor.isEmpty { return nil }
    let parts = cursor.dropFirst(prefix.count).split(separator: "-", omittingEmptySubsequences: false)
    guard cursor.hasPrefix(prefix), parts.count == 2, parts[1].utf8.count == 32,
      let time = UInt64(parts[0], radix: 16), let high = UInt64(parts[1].prefix(16), radix: 16),
      let low = UInt64(parts[1].suffix(16), radix: 16)
    else { throw JobsAdminError.badCursor.rpcError }
    return DeadJobPlace(
      diedAt: PostgresTimestamp(microseconds: Int64(bitPattern: time)), id: UUID(high: high, low: low))
  }
}
