/// The option `mainstreet.options.v1.documentation`: what the API's description tells of an rpc that its messages do not.
public struct MethodDocumentation: Hashable, Sendable {
  /// Media types of a body that is streamed in, e.g. `text/csv`.
  public var requestTypes: [String] = []
  /// Media types of an answer that is streamed out.
  public var responseTypes: [String] = []
  /// HTTP statuses of a success that the service chooses besides `MethodAccess.successStatus`.
  public var otherSuccessStatuses: [Int] = []

  static let optionNumber = 50103

  public init() {}

  init(reading reader: WireReader) throws(SchemaError) {
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 1: requestTypes.append(try field.string())
      case 2: responseTypes.append(try field.string())
      case 3:
        // Packed, as proto3 writes lists of numbers, or one by one.
        guard case .bytes = field.value else {
          otherSuccessStatuses.append(try field.int())
          continue
        }
        var packed = try field.message()
        while !packed.isAtEnd { otherSuccessStatuses.append(Int(truncatingIfNeeded: try packed.varint())) }
      default: break
      }
    }
    guard otherSuccessStatuses.allSatisfy((200...299).contains) else {
      throw SchemaError("other_success_statuses \(otherSuccessStatuses) are not successes")
    }
  }
}
