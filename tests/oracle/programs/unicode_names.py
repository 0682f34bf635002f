"""Names that are not ASCII."""


class Größe:
    länge = 1

    def ändern(self, wert, *, 幅=2):
        self.länge = wert
        éà = self.länge + 幅
        return éà


größe = Größe()
größe.ändern(5)
größe.länge += 1
表 = {"鍵": 1}
表["鍵"] = 2
