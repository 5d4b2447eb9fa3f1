/// The option `mainstreet.options.v1.access`: who may call an rpc, and how it counts.
public struct MethodAccess: Hashable, Sendable {
  public enum Audience: Hashable, Sendable {
    /// Anyone, without a principal.
    case `public`
    /// A principal holding one of the roles, or an API key holding one of the scopes.
    case roles([String], scopes: [String])
  }

  /// The token bucket a call is counted in. Raw values are those of the proto enum.
  public enum RateClass: Int, Hashable, Sendable {
    case ingest = 1, query, auth, write
  }

  /// Whether an idempotency key is honoured. Raw values are those of the proto enum.
  public enum IdempotencyKey: Int, Hashable, Sendable {
    case passedOver = 0, accepted, required
  }

  public let audience: Audience
  /// nil: not limited by class.
  public let rateClass: RateClass?
  /// Calling twice with the same request has the effect of calling once.
  public let isIdempotent: Bool
  /// HTTP status of a success, e.g. 201.
  public let successStatus: Int
  public let idempotencyKey: IdempotencyKey
  /// How old an answer may be; nil for rpcs that are always asked.
  public let caching: Caching?

  public struct Caching: Hashable, Sendable {
    /// As good as new.
    public let freshSeconds: Int
    /// After that, given while a new one is fetched.
    public let staleSeconds: Int
  }

  static let optionNumber = 50101

  init(reading reader: WireReader) throws(SchemaError) {
    var isPublic = false
    var roles: [String] = []
    var scopes: [String] = []
    var rateClass: RateClass?
    var isIdempotent = false
    var successStatus = 0
    var idempotencyKey = IdempotencyKey.passedOver
    var (freshSeconds, staleSeconds) = (0, 0)
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 1: isPublic = try field.bool()
      case 2: roles.append(try field.string())
      case 3: scopes.append(try field.string())
      case 4: rateClass = RateClass(rawValue: try field.int())
      case 5: isIdempotent = try field.bool()
      case 6: successStatus = try field.int()
      case 7: idempotencyKey = IdempotencyKey(rawValue: try field.int()) ?? .passedOver
      case 8: freshSeconds = try field.int()
      case 9: staleSeconds = try field.int()
      default: break
      }
    }
    guard isPublic == (roles.isEmpty && scopes.isEmpty) else {
      throw SchemaError("access must be either public or name roles or scopes")
    }
    guard successStatus == 0 || (200...299).contains(successStatus) else {
      throw SchemaError("success_status \(successStatus) is not a success")
    }
    guard freshSeconds == 0 && staleSeconds == 0 || isIdempotent && freshSeconds > 0 else {
      throw SchemaError("only an idempotent rpc can have cache_seconds, and only with them stale_seconds")
    }
    audience = isPublic ? .public : .roles(roles, scopes: scopes)
    self.rateClass = rateClass
    self.isIdempotent = isIdempotent
    self.successStatus = successStatus == 0 ? 200 : successStatus
    self.idempotencyKey = idempotencyKey
    caching =
      freshSeconds > 0 ? Caching(freshSeconds: freshSeconds, staleSeconds: staleSeconds) : nil
  }
}
