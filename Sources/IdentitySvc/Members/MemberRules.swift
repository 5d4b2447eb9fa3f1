/// Who may make whom what. Roles are their names, from most to least.
enum MemberRules {
  static let roles = ["owner", "admin", "manager", "staff", "viewer", "customer"]

  /// Nobody gives more than they have, nor takes from who has more than they.
  /// - Parameters:
  ///   - actor: what the actor is; nil for a platform admin, who may do all an owner may.
  ///   - former: what the member was; nil for somebody new.
  ///   - next: what the member is to be; nil for nothing.
  ///   - owners: how many there are before.
  static func change(
    actor: String?, from former: String?, to next: String?, owners: Int
  ) throws(MemberError) {
    let mine = rank(actor ?? roles[0])
    guard mine <= rank(roles[1]), [former, next].compactMap(\.self).allSatisfy({ mine <= rank($0) }) else {
      throw .exceedsOwnRole
    }
    // Somebody must be there who can do everything.
    if former == roles[0], next != roles[0], owners <= 1 { throw .lastOwner }
  }

  /// 0 is the most; a name that is none has less than all.
  private static func rank(_ role: String) -> Int { roles.firstIndex(of: role) ?? roles.count }
}
