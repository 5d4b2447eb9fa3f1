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
    let cursors = DeadJobCursors(signer: cursors, tenant: tenant)
    let found = try await jobs.dead(filter, after: cursors.place(request.cursor), most: limit + 1)
    let page = found.prefix(limit)
    return ListDeadJobsResponse(
      jobs: page.map { DeadJob($0, whole: tenant == nil) },
      nextCursor: found.count > limit ? page.last.map { cursors.text($0.place) } : nil)
  }
}

/// Where a page ends. A platform admin's list is of all tenants, and has cursors of its own.
struct DeadJobCursors {
  let signer: CursorSigner
  let tenant: UUID?

  func text(_ place: DeadJobPlace) -> String {
    let time = UInt64(bitPattern: place.diedAt.microseconds).bytes
    return signer.text(time + place.id.bytes, tenant: tenant)
  }

  /// - Returns: nil for the first page.
  func place(_ cursor: String) throws(RPCError) -> DeadJobPlace? {
    if cursor.isEmpty { return nil }
    guard let bytes = signer.place(cursor, tenant: tenant), let id = UUID(bytes: bytes.dropFirst(8)) else {
      throw JobsAdminError.badCursor.rpcError
    }
    let time = Int64(bitPattern: UInt64(bytes: bytes.prefix(8)))
    return DeadJobPlace(diedAt: PostgresTimestamp(microseconds: time), id: id)
  }
}
