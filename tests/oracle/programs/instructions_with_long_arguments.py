"""More than 256 names, arguments and constants at the sites themselves."""
name0 = name1 = name2 = name3 = name4 = name5 = name6 = name7 = name8 = name9 = name10 = name11 = name12 = name13 = name14 = name15 = name16 = name17 = name18 = name19 = name20 = name21 = name22 = name23 = name24 = name25 = name26 = name27 = name28 = name29 = name30 = name31 = name32 = name33 = name34 = name35 = name36 = name37 = name38 = name39 = name40 = name41 = name42 = name43 = name44 = name45 = name46 = name47 = name48 = name49 = name50 = name51 = name52 = name53 = name54 = name55 = name56 = name57 = name58 = name59 = name60 = name61 = name62 = name63 = name64 = name65 = name66 = name67 = name68 = name69 = name70 = name71 = name72 = name73 = name74 = name75 = name76 = name77 = name78 = name79 = name80 = name81 = name82 = name83 = name84 = name85 = name86 = name87 = name88 = name89 = name90 = name91 = name92 = name93 = name94 = name95 = name96 = name97 = name98 = name99 = name100 = name101 = name102 = name103 = name104 = name105 = name106 = name107 = name108 = name109 = name110 = name111 = name112 = name113 = name114 = name115 = name116 = name117 = name118 = name119 = name120 = name121 = name122 = name123 = name124 = name125 = name126 = name127 = name128 = name129 = name130 = name131 = name132 = name133 = name134 = name135 = name136 = name137 = name138 = name139 = name140 = name141 = name142 = name143 = name144 = name145 = name146 = name147 = name148 = name149 = name150 = name151 = name152 = name153 = name154 = name155 = name156 = name157 = name158 = name159 = name160 = name161 = name162 = name163 = name164 = name165 = name166 = name167 = name168 = name169 = name170 = name171 = name172 = name173 = name174 = name175 = name176 = name177 = name178 = name179 = name180 = name181 = name182 = name183 = name184 = name185 = name186 = name187 = name188 = name189 = name190 = name191 = name192 = name193 = name194 = name195 = name196 = name197 = name198 = name199 = name200 = name201 = name202 = name203 = name204 = name205 = name206 = name207 = name208 = name209 = name210 = name211 = name212 = name213 = name214 = name215 = name216 = name217 = name218 = name219 = name220 = name221 = name222 = name223 = name224 = name225 = name226 = name227 = name228 = name229 = name230 = name231 = name232 = name233 = name234 = name235 = name236 = name237 = name238 = name239 = name240 = name241 = name242 = name243 = name244 = name245 = name246 = name247 = name248 = name249 = name250 = name251 = name252 = name253 = name254 = name255 = name256 = name257 = name258 = name259 = 0
shared, table = [], {}


class Box:
    pass


def function(box, xs, d):
    box.a0 = box.a1 = box.a2 = box.a3 = box.a4 = box.a5 = box.a6 = box.a7 = box.a8 = box.a9 = box.a10 = box.a11 = box.a12 = box.a13 = box.a14 = box.a15 = box.a16 = box.a17 = box.a18 = box.a19 = box.a20 = box.a21 = box.a22 = box.a23 = box.a24 = box.a25 = box.a26 = box.a27 = box.a28 = box.a29 = box.a30 = box.a31 = box.a32 = box.a33 = box.a34 = box.a35 = box.a36 = box.a37 = box.a38 = box.a39 = box.a40 = box.a41 = box.a42 = box.a43 = box.a44 = box.a45 = box.a46 = box.a47 = box.a48 = box.a49 = box.a50 = box.a51 = box.a52 = box.a53 = box.a54 = box.a55 = box.a56 = box.a57 = box.a58 = box.a59 = box.a60 = box.a61 = box.a62 = box.a63 = box.a64 = box.a65 = box.a66 = box.a67 = box.a68 = box.a69 = box.a70 = box.a71 = box.a72 = box.a73 = box.a74 = box.a75 = box.a76 = box.a77 = box.a78 = box.a79 = box.a80 = box.a81 = box.a82 = box.a83 = box.a84 = box.a85 = box.a86 = box.a87 = box.a88 = box.a89 = box.a90 = box.a91 = box.a92 = box.a93 = box.a94 = box.a95 = box.a96 = box.a97 = box.a98 = box.a99 = box.a100 = box.a101 = box.a102 = box.a103 = box.a104 = box.a105 = box.a106 = box.a107 = box.a108 = box.a109 = box.a110 = box.a111 = box.a112 = box.a113 = box.a114 = box.a115 = box.a116 = box.a117 = box.a118 = box.a119 = box.a120 = box.a121 = box.a122 = box.a123 = box.a124 = box.a125 = box.a126 = box.a127 = box.a128 = box.a129 = 1
    l0 = l1 = l2 = l3 = l4 = l5 = l6 = l7 = l8 = l9 = l10 = l11 = l12 = l13 = l14 = l15 = l16 = l17 = l18 = l19 = l20 = l21 = l22 = l23 = l24 = l25 = l26 = l27 = l28 = l29 = l30 = l31 = l32 = l33 = l34 = l35 = l36 = l37 = l38 = l39 = l40 = l41 = l42 = l43 = l44 = l45 = l46 = l47 = l48 = l49 = l50 = l51 = l52 = l53 = l54 = l55 = l56 = l57 = l58 = l59 = l60 = l61 = l62 = l63 = l64 = l65 = l66 = l67 = l68 = l69 = l70 = l71 = l72 = l73 = l74 = l75 = l76 = l77 = l78 = l79 = l80 = l81 = l82 = l83 = l84 = l85 = l86 = l87 = l88 = l89 = l90 = l91 = l92 = l93 = l94 = l95 = l96 = l97 = l98 = l99 = l100 = l101 = l102 = l103 = l104 = l105 = l106 = l107 = l108 = l109 = l110 = l111 = l112 = l113 = l114 = l115 = l116 = l117 = l118 = l119 = l120 = l121 = l122 = l123 = l124 = l125 = l126 = l127 = l128 = l129 = l130 = l131 = l132 = l133 = l134 = l135 = l136 = l137 = l138 = l139 = l140 = l141 = l142 = l143 = l144 = l145 = l146 = l147 = l148 = l149 = l150 = l151 = l152 = l153 = l154 = l155 = l156 = l157 = l158 = l159 = l160 = l161 = l162 = l163 = l164 = l165 = l166 = l167 = l168 = l169 = l170 = l171 = l172 = l173 = l174 = l175 = l176 = l177 = l178 = l179 = l180 = l181 = l182 = l183 = l184 = l185 = l186 = l187 = l188 = l189 = l190 = l191 = l192 = l193 = l194 = l195 = l196 = l197 = l198 = l199 = l200 = l201 = l202 = l203 = l204 = l205 = l206 = l207 = l208 = l209 = l210 = l211 = l212 = l213 = l214 = l215 = l216 = l217 = l218 = l219 = l220 = l221 = l222 = l223 = l224 = l225 = l226 = l227 = l228 = l229 = l230 = l231 = l232 = l233 = l234 = l235 = l236 = l237 = l238 = l239 = l240 = l241 = l242 = l243 = l244 = l245 = l246 = l247 = l248 = l249 = l250 = l251 = l252 = l253 = l254 = l255 = l256 = l257 = l258 = l259 = 2
    late = xs
    late.append(1)
    late += [2]
    s = set()
    s.update(xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs, xs)
    d.update(k0=xs, k1=xs, k2=xs, k3=xs, k4=xs, k5=xs, k6=xs, k7=xs, k8=xs, k9=xs, k10=xs, k11=xs, k12=xs, k13=xs, k14=1, k15=1, k16=1)
    d.clear()
    box.late = [3]
    box.late += [4]
    box.late.append(5)
    for late in range(2):
        pass
    with open("/dev/null") as late:
        pass
    def inner():
        nonlocal late
        late = 6
    inner()
    global shared
    shared += [7]
    shared = 8
    del late, box.late
    return l259


function(Box(), [], {})
del name259
