/// A descriptor set, path template or pattern that is not what it should be. Says where and why.
public struct SchemaError: Error, Hashable, Sendable, CustomStringConvertible {
  public let message: String

  public init(_ message: String) {
    self.message = message
  }

  public var description: String { message }
}
