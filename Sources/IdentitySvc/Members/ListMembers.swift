import MainstreetAPI
import Postgres
import RPC
import ServiceKit

extension IdentityService {
  func listMembers(_ request: ListMembersRequest, _ context: CallContext) async throws -> ListMembersResponse
  {
    let tenant = try context.principal.actingTenant()
    let limit = request.limit == 0 ? 50 : Int(request.limit)
    let place = try MemberPlace(cursor: request.cursor)
    var rows = try await postgres.execute(
      ListMembersPage(after: place, most: limit + 1), tenant: tenant, deadline: context.deadline)
    // One more than asked for tells whether there is another page.
    let hasMore = rows.count > limit
    if hasMore { rows.removeLast() }
    return ListMembersResponse(
      members: rows.map(\.member), nextCursor: hasMore ? rows.last?.place.cursor : nil)
  }
}

/// Where a page ends, in the order of joining. It shows nothing that the page did not, and leads only to members of the
/// caller's own tenant.
struct MemberPlace: Hashable, Sendable {
  var joinedAt: Instant
  var account: UUID

  static let first = MemberPlace(joinedAt: Instant(.negativeInfinity), account: .noTenant)
  private static let prefix = "m1-"

  init(joinedAt: Instant, account: UUID) {
    self.joinedAt = joinedAt
    self.account = account
  }

  init(cursor: String) throws(RPCError) {
    if cursor.isEmpty {
      self = .first
      return
    }
    let parts = cursor.dropFirst(Self.prefix.count).split(separator: "-", maxSplits: 1)
    guard cursor.hasPrefix(Self.prefix), parts.count == 2, let time = UInt64(parts[0], radix: 16),
      let account = UUID(parts[1])
    else { throw .badCursor }
    self.init(joinedAt: Instant(microseconds: Int64(bitPattern: time)), account: account)
  }

  var cursor: String {
    "\(Self.prefix)\(String(UInt64(bitPattern: joinedAt.microseconds), radix: 16))-\(account)"
  }
}

/// Of the tenant the transaction acts for.
struct ListMembersPage: Statement {
  static let name = "ListMembersPage"
  static let sql = "SELECT account_id, email, name, role, joined_at FROM identity.members($1, $2, $3, $4)"
  static let isIdempotent = true
  var after = MemberPlace.first
  /// Nobody but this one.
  var only: UUID?
  var most = 1

  struct Row: Sendable {
    var member: Member
    var place: MemberPlace
  }

  func bind(into bindings: inout Bindings) {
    bindings.append(after.joinedAt)
    bindings.append(after.account)
    bindings.append(only)
    bindings.append(most)
  }

  static func decode(_ row: inout RowReader) throws -> Row {
    let account = try row.next(UUID.self)
    var member = Member(accountId: "\(account)", email: try row.next(), name: try row.next())
    member.role = Role(stored: try row.next())
    let joinedAt = try row.next(Instant.self)
    member.joinedAt = Timestamp(joinedAt)
    return Row(member: member, place: MemberPlace(joinedAt: joinedAt, account: account))
  }
}
