/// A message type as the transcoder wants it: flat, immutable, names already spelled as JSON.
///
/// Compiled once at start from the descriptor set. The tables form a tree (our schemas allow no recursive
/// messages), so plain references suffice.
final class MessageTable: Sendable {
  /// Full protobuf name.
  let name: String
  /// In declaration order, which is the order they are written in JSON.
  let fields: [FieldTable]
  /// Fields that must be set, by index.
  let required: FieldSet

  private let names: NameIndex
  /// Index in `fields` by field number, −1 for none; numbers past the end are searched.
  private let numbers: [Int16]

  init(name: String, fields: [FieldTable]) {
    self.name = name
    self.fields = fields
    self.required = FieldSet(fields.indices.filter { fields[$0].isRequired })
    var entries: [(name: String, index: Int)] = []
    for (index, field) in fields.enumerated() {
      entries.append((field.jsonName, index))
      if field.name != field.jsonName { entries.append((field.name, index)) }
    }
    self.names = NameIndex(entries)
    var numbers = [Int16](repeating: -1, count: 64)
    for (index, field) in fields.enumerated() where field.number < numbers.count {
      numbers[field.number] = Int16(index)
    }
    self.numbers = numbers
  }

  /// Index of the field a JSON member names, by its JSON or its proto name.
  func field(named name: UnsafeRawBufferPointer) -> Int? {
    names.find(name)
  }

  func field(named name: String) -> Int? {
    fields.firstIndex { $0.jsonName == name || $0.name == name }
  }

  @inline(__always)
  func field(numbered number: Int) -> Int? {
    if number < numbers.count {
      let index = numbers[number]
      return index < 0 ? nil : Int(index)
    }
    return fields.firstIndex { $0.number == number }
  }
}
